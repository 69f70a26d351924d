"""Read models that facts rebuild; one module per model."""
