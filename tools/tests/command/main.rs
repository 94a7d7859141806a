//! The `skyring` command keeps its promises: one module for each, with real processes.

mod a_failed_call_says_why;
mod a_full_disk_stops_no_node;
mod a_node_stops_when_told;
mod a_wrong_config_is_one_line;
mod c_modules_are_loaded;
mod call_sends_what_words_look_like;
mod check_says_what_is_there;
mod common;
mod nodes_notice_who_is_gone;
mod peers_are_measured_beside_skyring;
mod skynet_configs_run;
mod two_nodes_answer_calls;
