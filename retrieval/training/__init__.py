"""Making models: the built-in starter from its pretrained parts. Never imported to index or to search; needs torch."""
