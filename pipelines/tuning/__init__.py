"""What `genloop tune` is made of: the space, the rows that are left out, trials, and the study that keeps them."""
