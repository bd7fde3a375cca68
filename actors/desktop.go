package actors

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// desktopPath is where an owner takes connections to a computer's desktop from
// other nodes.
const desktopPath = "/computers/desktop/"

// Desktop connects to a computer's display, which speaks RFB (RFC 6143) without
// a password, through any node; a display that is not up is started first. The
// computer is started and kept as by Guest, until the connection is closed. A
// computer whose image has no desktop is Unsupported.
func (s *Computers) Desktop(ctx context.Context, account state.AccountID, id state.ComputerID) (net.Conn, error) {
	owner, err := s.owner(ctx, account, id)
	if err != nil {
		return nil, err
	}
	var display net.Conn
	if owner == s.cluster.Self() {
		display, err = s.local.desktop(ctx, id)
	} else {
		display, err = s.remote.Desktop(ctx, owner, account, id)
	}
	if err == nil {
		s.diary.Note(ctx, state.DesktopOpen, account, id)
	}
	return display, err
}

// desktop connects to the display of a computer that this node owns.
func (l *local) desktop(ctx context.Context, id state.ComputerID) (net.Conn, error) {
	d, ok := l.deps.driver.(runtime.Displayer)
	if !ok {
		return nil, fault.New(fault.Unsupported, "computers of this node have no desktop")
	}
	return l.connect(ctx, id, func(epoch state.Epoch) (uint16, error) {
		port, err := d.Display(ctx, runtime.Epoch(epoch), runtime.ID(id))
		if errors.Is(err, runtime.ErrUnsupported) {
			err = fault.New(fault.Unsupported, "The computer's image has no desktop; make a computer of the image desktop to have one")
		}
		return port, err
	})
}

// Desktop connects to a computer's display through its owner.
func (w *wire) Desktop(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID) (net.Conn, error) {
	return w.stream(ctx, node, desktopPath+string(account)+"/"+string(id))
}

// serveDesktop joins another node's stream to the display of a computer that
// this node owns.
func (l *local) serveDesktop(w http.ResponseWriter, r *http.Request) {
	id := state.ComputerID(r.PathValue("computer"))
	if err := l.belongs(r.Context(), state.AccountID(r.PathValue("account")), id); err != nil {
		refuse(w, err)
		return
	}
	conn, err := l.desktop(r.Context(), id)
	if err != nil {
		refuse(w, err)
		return
	}
	join(w, r, conn)
}
