"""The network: item inputs, recurrence and scoring rows."""
