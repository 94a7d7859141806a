%% The peer `erlang` of Skyring's rig: a gen_server that answers what it is asked, and callers on another node.
-module(floor).
-behaviour(gen_server).
-export([serve/0, call/6, init/1, handle_call/3, handle_cast/2]).

%% Latencies are counted by the microsecond up to this, longer ones by the millisecond.
-define(FINE_MAX, 20000).
-define(MILLISECONDS_MAX, 10000).

serve() ->
    {ok, _} = gen_server:start({local, ?MODULE}, ?MODULE, [], []),
    io:format("listening~n").

init([]) -> {ok, none}.
handle_call(Value, _From, State) -> {reply, Value, State}.
handle_cast(_, State) -> {noreply, State}.

%% Keeps so many calls in flight, each from a process of its own, and reports their latencies.
call(Node, InFlight, Value, WarmUpMs, DurationMs, CallMsMax) ->
    pong = net_adm:ping(Node),
    Counts = counters:new(?FINE_MAX + ?MILLISECONDS_MAX + 2, []),
    Begin = erlang:monotonic_time() + native(WarmUpMs),
    End = Begin + native(DurationMs),
    Callers = [spawn_monitor(fun() ->
        caller({?MODULE, Node}, Value, CallMsMax, Counts, Begin, End, erlang:monotonic_time())
    end) || _ <- lists:seq(1, InFlight)],
    timer:sleep(WarmUpMs),
    io:format("begin~n"),
    timer:sleep(DurationMs),
    io:format("end~n"),
    [receive {'DOWN', Monitor, process, _, _} -> ok end || {_, Monitor} <- Callers],
    io:format("seconds ~p~nerrors ~p~n", [DurationMs / 1000, counters:get(Counts, 1)]),
    [io:format("bucket ~p ~p~n", [microseconds(Slot), counters:get(Counts, Slot)])
        || Slot <- lists:seq(2, ?FINE_MAX + ?MILLISECONDS_MAX + 2), counters:get(Counts, Slot) > 0],
    io:format("done~n"),
    halt(0).

caller(Callee, Value, CallMsMax, Counts, Begin, End, Began) ->
    Slot = try gen_server:call(Callee, Value, CallMsMax) of
        Value -> answered;
        _ -> 1
    catch
        _:_ -> 1
    end,
    Ended = erlang:monotonic_time(),
    if
        Ended >= End ->
            ok;
        Ended >= Begin, Slot =:= answered ->
            counters:add(Counts, slot(erlang:convert_time_unit(Ended - Began, native, microsecond)), 1),
            caller(Callee, Value, CallMsMax, Counts, Begin, End, Ended);
        Ended >= Begin ->
            counters:add(Counts, 1, 1),
            caller(Callee, Value, CallMsMax, Counts, Begin, End, Ended);
        true ->
            caller(Callee, Value, CallMsMax, Counts, Begin, End, Ended)
    end.

%% Slot 1 counts errors.
slot(Microseconds) when Microseconds < ?FINE_MAX -> Microseconds + 2;
slot(Microseconds) -> ?FINE_MAX + 2 + min(Microseconds div 1000, ?MILLISECONDS_MAX).

microseconds(Slot) when Slot < ?FINE_MAX + 2 -> Slot - 2;
microseconds(Slot) -> (Slot - ?FINE_MAX - 2) * 1000.

native(Milliseconds) -> erlang:convert_time_unit(Milliseconds, millisecond, native).
