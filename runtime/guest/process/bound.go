package process

// TimeoutHeader on Start, in whole milliseconds, kills the whole process
// group after that time. Unlike Connect-Timeout-Ms the stream goes on to the
// end event, and TimedOutTrailer tells what happened.
const TimeoutHeader = "Bothy-Timeout-Ms"

// TimedOutTrailer is "true" when TimeoutHeader ended the process.
const TimedOutTrailer = "Bothy-Timed-Out"

// RecallHeader on Connect, "true", asks for what the process's terminal showed
// last, before what it shows from now on. A keepalive event is between the two.
const RecallHeader = "Bothy-Recall"

// KeepaliveHeader on Start and Connect is the time in whole seconds after
// which a silent stream carries a keepalive event.
const KeepaliveHeader = "Keepalive-Ping-Interval"
