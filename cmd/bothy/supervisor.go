package main

import (
	"fmt"
	"net"
)

// supervisorVariable names the socket of a service manager that wants to hear
// when the node is ready, as systemd does of units with Type=notify.
const supervisorVariable = "NOTIFY_SOCKET"

// What a service manager is told, as sd_notify(3) has it.
const (
	supervisorReady    = "READY=1"
	supervisorStopping = "STOPPING=1"
)

// supervisor is the socket of the service manager; "" is none.
type supervisor string

func (s supervisor) tell(what string) error {
	if s == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: string(s), Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(what)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
