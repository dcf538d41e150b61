-- Every privileged call in one place: those of the door, and the turns that a role admitted, which the journal keeps.
CREATE VIEW audit_log AS
SELECT at, actor, role, action, subject, details FROM audit
UNION ALL
SELECT to_timestamp(at / 1000.0), turn ->> 'caller', turn ->> 'role', kind || '.' || (turn ->> 'command'),
       kind || ':' || key, (turn -> 'data')::jsonb
FROM journal WHERE turn ->> 'role' IS NOT NULL;
