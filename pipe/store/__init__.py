"""The journal and all state: one schema, SQLite embedded or PostgreSQL beside it, every write a unit of work."""
