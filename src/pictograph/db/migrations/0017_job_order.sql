-- The queue does not depend on the clock: jobs have an order of their own, one that nobody has touched is ready whatever
-- time it is, and every wait says how long it may be at most. A clock that is set back then makes nothing wait longer
-- than that: a time further away was written before it was set back.
ALTER TABLE job
    ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN waits  interval NOT NULL DEFAULT '0',
    ALTER COLUMN ready_at SET DEFAULT '-infinity';
UPDATE job SET ready_at = '-infinity' WHERE claim IS NULL AND attempts = 0;
UPDATE job SET waits = '5 minutes' WHERE ready_at > now();
DROP INDEX job_next, job_suspect;
CREATE INDEX job_next ON job (space_id, priority DESC, number) WHERE attempts < 2;
CREATE INDEX job_suspect ON job (space_id, number) WHERE attempts >= 2;
