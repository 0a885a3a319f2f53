"""The pages by which people prove who they are, and look after their own account."""
