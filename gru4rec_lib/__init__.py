"""GRU4Rec in Keras, and the study of content features for next-track recommendation.

The walk, one module a room: read -> prepare -> batches -> model -> ranking -> metrics -> figures. Import the rooms
you need (`from gru4rec_lib import prepare`): this file imports none, so that a notebook depends on what it uses alone.
"""

__version__ = "0.1.0"
