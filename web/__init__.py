"""The managers' pages: NiceGUI on the same commands and read models as the API. A view parses, asks once, renders."""
