"""What people feel: how long they wait, when, and what it takes of the machine. Through the public interface alone."""
