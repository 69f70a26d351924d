"""Who and how many: the catalog of filters, estimates and overlaps."""
