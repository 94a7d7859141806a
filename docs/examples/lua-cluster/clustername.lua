-- 节点地址: every node of the cluster and where it listens.
db = "127.0.0.1:7202"
gate_beijing = "127.0.0.1:7201"
