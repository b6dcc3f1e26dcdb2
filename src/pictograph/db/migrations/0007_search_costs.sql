-- What the steps of a search take on this installation, as `pictograph tune` measured it: one row, or none, and then the
-- planner's defaults hold (docs/search.md). The names are those of search/planner.py.
CREATE TABLE search_costs (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    costs       jsonb NOT NULL,
    machine     text NOT NULL,
    version     text NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT now()
);
