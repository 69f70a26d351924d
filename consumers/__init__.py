"""Everything that follows a log, one module a job."""
