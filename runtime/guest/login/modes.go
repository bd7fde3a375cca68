package login

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The encoding of terminal modes, RFC 4254 section 8: an opcode and four bytes
// each, up to opEnd or an opcode that has no four bytes.
const (
	opEnd       = 0
	opUndefined = 160 // and above: parsing stops
	modeBytes   = 5
)

// characters are the modes that are a key, by opcode.
var characters = map[byte]int{1: unix.VINTR, 2: unix.VQUIT, 3: unix.VERASE, 4: unix.VKILL, 5: unix.VEOF, 6: unix.VEOL,
	7: unix.VEOL2, 8: unix.VSTART, 9: unix.VSTOP, 10: unix.VSUSP, 12: unix.VREPRINT, 13: unix.VWERASE, 14: unix.VLNEXT, 18: unix.VDISCARD}

// noCharacter is a key that the client has switched off.
const noCharacter = 255

var inputModes = map[byte]uint32{30: unix.IGNPAR, 31: unix.PARMRK, 32: unix.INPCK, 33: unix.ISTRIP, 34: unix.INLCR, 35: unix.IGNCR,
	36: unix.ICRNL, 37: unix.IUCLC, 38: unix.IXON, 39: unix.IXANY, 40: unix.IXOFF, 41: unix.IMAXBEL, 42: unix.IUTF8}

var localModes = map[byte]uint32{50: unix.ISIG, 51: unix.ICANON, 52: unix.XCASE, 53: unix.ECHO, 54: unix.ECHOE, 55: unix.ECHOK,
	56: unix.ECHONL, 57: unix.NOFLSH, 58: unix.TOSTOP, 59: unix.IEXTEN, 60: unix.ECHOCTL, 61: unix.ECHOKE, 62: unix.PENDIN}

var outputModes = map[byte]uint32{70: unix.OPOST, 71: unix.OLCUC, 72: unix.ONLCR, 73: unix.OCRNL, 74: unix.ONOCR, 75: unix.ONLRET}

// setModes sets a terminal; nothing is no change, also where there is none.
func setModes(tty *os.File, modes []byte) error {
	if len(modes) == 0 {
		return nil
	}
	now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if errors.Is(err, unix.ENOTTY) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the terminal's modes: %w", err)
	}
	apply(now, modes)
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, now); err != nil {
		return fmt.Errorf("set the terminal's modes: %w", err)
	}
	return nil
}

// apply changes what the modes name. Speeds and what Linux does not have are
// left out, and so is whatever follows bytes that are no mode.
func apply(t *unix.Termios, modes []byte) {
	for len(modes) >= modeBytes && modes[0] != opEnd && modes[0] < opUndefined {
		op, value := modes[0], binary.BigEndian.Uint32(modes[1:modeBytes])
		modes = modes[modeBytes:]
		if at, ok := characters[op]; ok {
			t.Cc[at] = byte(value)
			if value == noCharacter {
				t.Cc[at] = 0 // _POSIX_VDISABLE
			}
		}
		set(&t.Iflag, inputModes[op], value)
		set(&t.Lflag, localModes[op], value)
		set(&t.Oflag, outputModes[op], value)
	}
}

func set(flags *uint32, bit, value uint32) {
	*flags &^= bit
	if value != 0 {
		*flags |= bit
	}
}
