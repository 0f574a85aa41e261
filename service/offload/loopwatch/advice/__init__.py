"""What to do instead of what held the loop: the known blockers, and advice made from them."""
