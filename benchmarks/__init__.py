"""One script per question; each prints one JSON object with its figures, the versions and the machine."""
