"""The LSTM language model that the basic trainers share, and its fast parts."""
