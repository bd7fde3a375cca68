// Package guest talks to the process inside each computer: it runs commands
// there and learns whether the computer answers. The guest's own side is in
// server/ and proc/; its binary is embedded here, for drivers to put into
// computers.
//
//	process/, filesystem/  the protocol, E2B's by names and tags
//	server/, proc/         the guest's side; passwd/ its users
package guest
