-- The planner's costs are fixed (docs/decisions/0008-planner-costs.md).
DROP TABLE search_costs;
