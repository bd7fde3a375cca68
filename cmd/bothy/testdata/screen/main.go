// Command screen is the display of a computer under test: a picture of one
// colour over RFB (RFC 6143), which another colour follows when a key is
// pressed. Called with a port it has that up and returns, as the program that
// an image names as its desktop does.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const width, height = 320, 200

// colours are red, green and blue, before and after a key.
var colours = [][3]uint32{{42, 157, 143}, {231, 111, 81}}

func main() {
	if len(os.Args) == 3 {
		serve(os.Args[2])
		return
	}
	at := "127.0.0.1:" + os.Args[1]
	if answers(at) {
		return
	}
	cmd := exec.Command(os.Args[0], "serve", at)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fatal(err)
	}
	for range 200 {
		if answers(at) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	fatal(fmt.Errorf("nothing answers at %s", at))
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func answers(at string) bool {
	c, err := net.Dial("tcp", at)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func serve(at string) {
	ln, err := net.Listen("tcp", at)
	if err != nil {
		fatal(err)
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			fatal(err)
		}
		go func() {
			defer c.Close()
			_ = (&viewer{Conn: c}).show() // it ends with who looks
		}()
	}
}

// viewer looks at the screen.
type viewer struct {
	net.Conn
	shift  [3]byte // of red, green and blue in a pixel
	colour int
	due    bool // an update was asked for and not sent
	sent   int  // the colour that was, and 1
}

func (v *viewer) read(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(v, b)
	return b, err
}

// say sends what is to be sent and reads n bytes of answer.
func (v *viewer) say(b []byte, n int) ([]byte, error) {
	if _, err := v.Write(b); err != nil {
		return nil, err
	}
	return v.read(n)
}

func (v *viewer) show() error {
	if _, err := v.say([]byte("RFB 003.008\n"), 12); err != nil {
		return err
	}
	if _, err := v.say([]byte{1, 1}, 1); err != nil { // no password
		return err
	}
	if _, err := v.say([]byte{0, 0, 0, 0}, 1); err != nil {
		return err
	}
	v.shift = [3]byte{16, 8, 0}
	begin := binary.BigEndian.AppendUint16(nil, width)
	begin = binary.BigEndian.AppendUint16(begin, height)
	begin = append(begin, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0)
	begin = append(binary.BigEndian.AppendUint32(begin, 6), "screen"...)
	if _, err := v.Write(begin); err != nil {
		return err
	}
	for {
		kind, err := v.read(1)
		if err == nil {
			err = v.take(kind[0])
		}
		if err != nil {
			return err
		}
	}
}

// take reads one message and answers it.
func (v *viewer) take(kind byte) error {
	lengths := map[byte]int{0: 19, 2: 3, 3: 9, 4: 7, 5: 5, 6: 7}
	n, known := lengths[kind]
	if !known {
		return fmt.Errorf("message %d", kind)
	}
	b, err := v.read(n)
	if err != nil {
		return err
	}
	switch kind {
	case 0:
		copy(v.shift[:], b[13:16])
	case 2:
		_, err = v.read(4 * int(binary.BigEndian.Uint16(b[1:])))
	case 3:
		v.due = true
		if b[0] == 0 {
			v.sent = 0
		}
	case 4:
		if b[0] == 1 {
			v.colour = 1
		}
	case 6:
		_, err = v.read(int(binary.BigEndian.Uint32(b[3:])))
	}
	if err != nil || !v.due || v.sent == v.colour+1 {
		return err
	}
	return v.draw()
}

func (v *viewer) draw() error {
	v.due, v.sent = false, v.colour+1
	var pixel uint32
	for i, c := range colours[v.colour] {
		pixel |= c << v.shift[i]
	}
	b := []byte{0, 0, 0, 1, 0, 0, 0, 0} // one rectangle, at 0, 0
	b = binary.BigEndian.AppendUint16(b, width)
	b = binary.BigEndian.AppendUint16(b, height)
	b = append(b, 0, 0, 0, 0) // as it is
	for range width * height {
		b = binary.LittleEndian.AppendUint32(b, pixel)
	}
	_, err := v.Write(b)
	return err
}
