package house

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// A process asks for the time of day in code that the kernel lays into it, the
// vDSO. Before a node's first instruction that code is changed in its memory: the
// question is answered as always, and then moved. It costs a few instructions, and
// what the node starts begins with the kernel's code again: its warden and its
// computers have the machine's clock. Counted time (CLOCK_MONOTONIC,
// CLOCK_BOOTTIME) is left alone, as it is when an operator sets a clock.

// ClocksMove says whether nodes' clocks can be set apart on this machine.
const ClocksMove = runtime.GOARCH == "amd64"

const (
	askTime = "__vdso_clock_gettime"
	// room is a function that Go never calls: its code makes room for ours, and
	// its name is taken away, so that who looks for it asks the kernel.
	room = "__vdso_gettimeofday"
)

// moved is the code that takes the place of askTime, for amd64:
//
//	00  sub  rsp, 8
//	04  push rdi
//	05  push rsi
//	06  call askTime
//	0b  pop  rsi
//	0c  pop  rdi
//	0d  add  rsp, 8
//	11  test edi, edi           ; CLOCK_REALTIME is 0
//	13  jne  out
//	15  movzx ecx, byte [chosen]
//	1c  lea  rdx, [ahead]
//	23  mov  rcx, [rdx+rcx*8]
//	27  add  [rsi], rcx         ; whole seconds
//	2a  out: ret
//	30  ahead: two numbers
//	40  chosen: which of them counts
//
// Two numbers, because only a single byte is certain to change at once under those
// who read it.
var moved = [...]byte{
	0x48, 0x83, 0xec, 0x08, 0x57, 0x56,
	0xe8, 0, 0, 0, 0,
	0x5e, 0x5f, 0x48, 0x83, 0xc4, 0x08, 0x85, 0xff, 0x75, 0x15,
	0x0f, 0xb6, 0x0d, 0x24, 0, 0, 0,
	0x48, 0x8d, 0x15, 0x0d, 0, 0, 0,
	0x48, 0x8b, 0x0c, 0xca, 0x48, 0x01, 0x0e, 0xc3,
	aheadAt + 16: 0,
}

const (
	callAt, callEnds = 0x07, 0x0b
	aheadAt          = 0x30
	chosenAt         = aheadAt + 16
	// sectionOfSymbol is where a symbol's section and then its value are in it.
	sectionOfSymbol = 6
)

// clock is the time of day of one process after the other.
type clock struct {
	ahead  int64 // seconds, of the machine's
	at     int64 // where moved is in the process's memory
	chosen byte  // which of the two numbers there counts
}

// MoveClock sets the time of day that a node of a town sees apart from the
// machine's, by whole seconds; negative is behind. It holds at once, and for
// processes of the node that start later.
func (n *Node) MoveClock(ahead time.Duration) error {
	n.lot.clock.ahead = int64(ahead / time.Second)
	if n.cmd == nil {
		return nil
	}
	if err := n.lot.clock.set(n.PID()); err != nil {
		return fmt.Errorf("move the clock of node %s: %w", n.Name, err)
	}
	return nil
}

// set writes how far ahead the clock is where it does not count, and has it count
// then.
func (c *clock) set(pid int) error {
	if !ClocksMove {
		return errors.ErrUnsupported
	}
	mem, err := os.OpenFile(memoryOf(pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	c.chosen ^= 1
	number := binary.LittleEndian.AppendUint64(nil, uint64(c.ahead))
	if _, err := mem.WriteAt(number, c.at+aheadAt+8*int64(c.chosen)); err != nil {
		return err
	}
	_, err = mem.WriteAt([]byte{c.chosen}, c.at+chosenAt)
	return err
}

func memoryOf(pid int) string { return fmt.Sprintf("/proc/%d/mem", pid) }

// start starts a process that has the clock. The caller has locked its thread,
// which is the one that the process stops for.
func (c *clock) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr.Ptrace = ClocksMove // it stops before its first instruction
	if err := cmd.Start(); err != nil || !ClocksMove {
		return err
	}
	if err := c.wind(cmd.Process.Pid); err != nil {
		err = errors.Join(fmt.Errorf("give it a clock: %w", err), cmd.Process.Kill())
		cmd.Wait() // it was killed
		return err
	}
	return nil
}

// wind changes a process that has stopped at its start, and lets it go on.
func (c *clock) wind(pid int) error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	if !status.Stopped() {
		return fmt.Errorf("it does not stop: status %#x", status)
	}
	vdso, err := findVDSO(pid)
	if err != nil {
		return err
	}
	if c.at, err = lay(pid, vdso); err != nil {
		return err
	}
	c.chosen = 0
	if err := c.set(pid); err != nil {
		return err
	}
	return syscall.PtraceDetach(pid)
}

// findVDSO returns where the kernel laid it, as it tells the process itself.
func findVDSO(pid int) (at int64, err error) {
	const sysinfoEHDR = 33 // AT_SYSINFO_EHDR
	auxv, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, err
	}
	for pair := range slices.Chunk(auxv, 16) {
		if len(pair) == 16 && binary.LittleEndian.Uint64(pair) == sysinfoEHDR {
			return int64(binary.LittleEndian.Uint64(pair[8:])), nil
		}
	}
	return 0, errors.New("it has no vDSO")
}

// lay puts moved where room is, has the name of askTime lead to it, and returns
// where it is in memory.
func lay(pid int, vdso int64) (int64, error) {
	mem, err := os.OpenFile(memoryOf(pid), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	f, err := elf.NewFile(io.NewSectionReader(mem, vdso, math.MaxInt64-vdso))
	if err != nil {
		return 0, err
	}
	all, err := f.DynamicSymbols()
	names := map[string]elf.Symbol{}
	for _, s := range all {
		names[s.Name] = s
	}
	place, table := names[room], f.SectionByType(elf.SHT_DYNSYM)
	if err != nil || table == nil || place.Size < uint64(len(moved)) || names[askTime].Value == 0 {
		return 0, fmt.Errorf("its vDSO has %d bytes of %s, and %s at %#x: %v", place.Size, room, askTime, names[askTime].Value, err)
	}
	code := moved
	binary.LittleEndian.PutUint32(code[callAt:], uint32(names[askTime].Value-place.Value-callEnds))
	_, err = mem.WriteAt(code[:], vdso+int64(place.Value))
	for i, s := range all { // a function has two names
		switch s.Value {
		case names[askTime].Value:
			s.Value = place.Value
		case place.Value:
			s.Section, s.Value = elf.SHN_UNDEF, 0
		default:
			continue
		}
		entry := vdso + int64(table.Offset) + int64(i+1)*elf.Sym64Size // the first is no symbol
		leads := binary.LittleEndian.AppendUint16(nil, uint16(s.Section))
		_, failed := mem.WriteAt(binary.LittleEndian.AppendUint64(leads, s.Value), entry+sectionOfSymbol)
		err = errors.Join(err, failed)
	}
	return vdso + int64(place.Value), err
}
