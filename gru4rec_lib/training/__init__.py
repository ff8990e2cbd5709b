"""How GRU4Rec learns: losses, negative sampling, row-wise optimisers, epochs and checkpoints."""
