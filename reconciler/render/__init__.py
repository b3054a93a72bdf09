"""Plans and outcomes as text for people and as JSON for machines. Pure: width and colour are arguments."""
