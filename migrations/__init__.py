"""The schema of the database that holds the log and the read models' registry, step by step, by alembic."""
