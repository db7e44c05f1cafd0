"""The studio: WHO uses it. A page and an API that show pictures by the champion and learn from every click."""
