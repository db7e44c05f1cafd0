"""The model of people's preferences that the stage `approval` fits."""
