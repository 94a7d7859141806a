-- The nodes of the chat and where they listen for each other.
db = "127.0.0.1:7302"
game = "127.0.0.1:7301"
