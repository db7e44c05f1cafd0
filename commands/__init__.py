"""The commands of `genloop`, one file each: they read options, call a use case of `operations`, and print its result."""
