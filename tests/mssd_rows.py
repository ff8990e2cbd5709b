"""Rows of files in the layout of MSSD."""

from gru4rec_lib.preparation import readers

LOG_HEADER = [
    *("session_id", "session_position", "session_length", "track_id_clean", "skip_1", "skip_2", "skip_3"),
    *("not_skipped", "context_switch", "no_pause_before_play", "short_pause_before_play", "long_pause_before_play"),
    *("hist_user_behavior_n_seekfwd", "hist_user_behavior_n_seekback", "hist_user_behavior_is_shuffle"),
    *("hour_of_day", "date", "premium", "context_type"),
    *("hist_user_behavior_reason_start", "hist_user_behavior_reason_end"),
]
TRACK_HEADER = ["track_id", *readers.TRACK_FEATURES[:15], "mode", *readers.TRACK_FEATURES[15:]]
OFFICIAL = "false,false,true,false,0,1,0,0,2,0,true,16,2018-07-15,true,radio,trackdone,fwdbtn"
SPREADSHEET = "False,False,True,False,0,1,0,0,2,0,True,16,15-07-18,True,radio,trackdone,fwdbtn"


def log_rows(session, tracks, rest=OFFICIAL):
    return [f"{session},{i},{len(tracks)},{track},{rest}" for i, track in enumerate(tracks, 1)]
