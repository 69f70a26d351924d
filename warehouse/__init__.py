"""The BI database: hits in, counts out."""
