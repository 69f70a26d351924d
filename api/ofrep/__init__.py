"""OFREP, the OpenFeature Remote Evaluation Protocol: an ASGI app of its own, because here every microsecond counts."""
