"""Small services that are instrumented with the SDK: what a developer would write."""
