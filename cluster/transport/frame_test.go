package transport

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
	"time"
)

func FuzzFrames(f *testing.F) {
	f.Add(callFrame{id: 1, left: time.Second, method: "m", body: []byte("b")}.encode())
	f.Add(callFrame{cause: []byte("c"), id: 1, left: time.Second, method: "m", body: []byte("b")}.encode())
	f.Add(numbered(frameFault, 7, encodeFault(errors.New("x"))))
	f.Add(letter{kind: letterMessage, to: "a/1", from: "ask/2", env: Envelope{Kind: "k", Key: "x", Request: 2, Deadline: time.Now().Add(time.Second), Body: []byte("b")}}.encode(time.Now()))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			kind, payload, err := readFrame(r)
			if err != nil {
				return
			}
			now := time.Unix(1000, 0)
			if c, err := decodeCall(kind, payload); err == nil {
				again, err := decodeCall(kind, c.encode()[frameHeadBytes+1:])
				if err != nil || !bytes.Equal(again.cause, c.cause) || again.id != c.id || again.method != c.method || !bytes.Equal(again.body, c.body) {
					t.Fatalf("%+v came back as %+v, %v", c, again, err)
				}
			}
			if l, err := decodeLetter(payload, now); err == nil {
				again, err := decodeLetter(l.encode(now)[frameHeadBytes+1:], now)
				if err != nil || !bytes.Equal(again.encode(now), l.encode(now)) {
					t.Fatalf("%+v came back as %+v, %v", l, again, err)
				}
			}
			if _, body, err := decodeNumbered(payload); err == nil {
				decodeFault(body)
			}
		}
	})
}
