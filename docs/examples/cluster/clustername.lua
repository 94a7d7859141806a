-- The cluster map: which nodes there are, and where each listens. All nodes read the same map.
db = "127.0.0.1:7102"
gate = "127.0.0.1:7101"
-- db_backup = false        -- `false` turns a node off: calls to it fail at once
-- __nowaiting = true       -- calls to a node that is not in the map fail at once, instead of waiting for it
