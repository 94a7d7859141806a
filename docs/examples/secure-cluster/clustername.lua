-- The cluster map: which nodes there are, and where each listens.
db = "127.0.0.1:7112"
gate = "127.0.0.1:7111"
