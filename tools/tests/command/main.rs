//! The behaviour of the `skyring` command, one module for each promise, with real processes.

mod a_closed_cluster_is_reached_with_a_nodes_config;
mod a_failed_call_has_a_cause;
mod a_full_disk_does_not_stop_a_node;
mod a_node_can_be_watched;
mod a_node_runs_in_the_background;
mod a_node_stops_on_a_signal;
mod a_service_manager_hears_how_the_node_is;
mod an_invalid_config_is_reported_in_one_line;
mod browser;
mod c_modules_are_loaded;
mod call_arguments_are_parsed_as_values;
mod check_describes_files;
mod clusters_are_shown_and_edited;
mod common;
mod doctor_judges_machine_and_node;
mod failures_of_nodes_are_detected;
mod logs_go_where_the_config_says;
mod peers_are_measured_beside_skyring;
mod skynet_configs_run;
mod supervised_services_are_started_again;
mod the_dashboard_shows_the_node;
mod the_runtime_can_be_chosen;
mod top_shows_a_running_node;
mod two_nodes_answer_calls;
mod typed_services_describe_themselves;
mod watched_cluster;
