-- Turns that many tells led to are some kilobytes of JSON each. Compressing them took a tenth of Postgres' time, and they
-- are read seldom: they are kept as they are.
ALTER TABLE journal ALTER COLUMN turn SET STORAGE EXTERNAL, ALTER COLUMN events SET STORAGE EXTERNAL;
