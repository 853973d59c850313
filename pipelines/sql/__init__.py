"""What all SQL databases of the shop have in common, on SQLite and on MySQL."""
