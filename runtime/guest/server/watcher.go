package server

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/guest/filesystem"
	"github.com/bothy-computer/bothy/runtime/guest/passwd"
	"github.com/bothy-computer/bothy/runtime/guest/watch"
)

// streamedEvents bounds the events that wait for a slow stream.
const streamedEvents = 256

// openWatch starts to watch what a request names.
func (s fileService) openWatch(path string, recursive, network bool) (*watch.Watcher, string, error) {
	root, err := directory(path)
	if err != nil {
		return nil, "", err
	}
	if remote, err := isNetwork(root); err != nil {
		return nil, "", misfiled(err)
	} else if remote && !network {
		return nil, "", connect.NewError(connect.CodeInvalidArgument,
			fmt.Errorf("%s is on a network file system, whose changes from elsewhere are not seen; set allow_network_mounts to watch it all the same", path))
	}
	if err := s.watchers.enter(); err != nil {
		return nil, "", err
	}
	w, err := watch.Open(root, recursive)
	if err != nil {
		s.watchers.leave()
		return nil, "", misfiled(err)
	}
	return w, root, nil
}

// networks are the file systems whose changes the kernel may not see.
var networks = map[int64]bool{
	unix.NFS_SUPER_MAGIC: true, unix.SMB_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true,
	unix.SMB2_SUPER_MAGIC: true, unix.FUSE_SUPER_MAGIC: true, unix.V9FS_MAGIC: true,
}

func isNetwork(path string) (bool, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return false, fmt.Errorf("look at the file system of %s: %w", path, err)
	}
	return networks[int64(stat.Type)], nil
}

// WatchDir streams what happens in a directory.
func (s fileService) WatchDir(ctx context.Context, req *connect.Request[filesystem.WatchDirRequest], stream *connect.ServerStream[filesystem.WatchDirResponse]) error {
	_, path, err := s.at(req.Header(), req.Msg.Path)
	if err != nil {
		return err
	}
	w, root, err := s.openWatch(path, req.Msg.Recursive, req.Msg.AllowNetworkMounts)
	if err != nil {
		return err
	}
	defer s.watchers.leave()
	events := make(chan watch.Event, streamedEvents)
	ended := make(chan error, 1)
	go func() {
		ended <- w.Run(func(ev watch.Event) error {
			select {
			case events <- ev:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		close(events)
	}()
	defer w.Close() // ends Run; there is nothing to flush
	if err := stream.Send(&filesystem.WatchDirResponse{Event: &filesystem.WatchDirResponse_Start{Start: &filesystem.WatchDirResponse_StartEvent{}}}); err != nil {
		return err
	}
	show := func(ev watch.Event) *filesystem.FilesystemEvent { return s.seen(ev, root, path, req.Msg.IncludeEntry) }
	if err := pass(ctx, events, keepaliveOf(req.Header()), show, stream.Send); err != nil {
		return err
	}
	if err := <-ended; err != nil {
		return misfiled(err)
	}
	return nil
}

// pass sends events until there are no more, with keepalives in between.
func pass(ctx context.Context, events <-chan watch.Event, every time.Duration, show func(watch.Event) *filesystem.FilesystemEvent, send func(*filesystem.WatchDirResponse) error) error {
	keepalive := time.NewTicker(every)
	defer keepalive.Stop()
	for {
		res := &filesystem.WatchDirResponse{Event: &filesystem.WatchDirResponse_Keepalive{Keepalive: &filesystem.WatchDirResponse_KeepAlive{}}}
		select {
		case ev, open := <-events:
			if !open {
				return nil
			}
			res.Event = &filesystem.WatchDirResponse_Filesystem{Filesystem: show(ev)}
			keepalive.Reset(every)
		case <-keepalive.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := send(res); err != nil {
			return err
		}
	}
}

// seen is an event as a client reads it. The entry is left out when the file
// is gone by now.
func (s fileService) seen(ev watch.Event, root, shown string, entry bool) *filesystem.FilesystemEvent {
	out := &filesystem.FilesystemEvent{Name: ev.Name, Type: filesystem.EventType(ev.Kind)}
	if entry {
		if info, err := entryAt(filepath.Join(root, ev.Name), filepath.Join(shown, ev.Name), passwd.NewNames(s.opts.Root)); err == nil {
			out.Entry = info
		}
	}
	return out
}

// CreateWatcher starts to gather events for GetWatcherEvents.
func (s fileService) CreateWatcher(_ context.Context, req *connect.Request[filesystem.CreateWatcherRequest]) (*connect.Response[filesystem.CreateWatcherResponse], error) {
	_, path, err := s.at(req.Header(), req.Msg.Path)
	if err != nil {
		return nil, err
	}
	w, root, err := s.openWatch(path, req.Msg.Recursive, req.Msg.AllowNetworkMounts)
	if err != nil {
		return nil, err
	}
	id := s.watchers.keep(&pending{watcher: w, root: root, shown: path, entries: req.Msg.IncludeEntry})
	return connect.NewResponse(&filesystem.CreateWatcherResponse{WatcherId: id}), nil
}

// GetWatcherEvents returns what happened since it was asked last.
func (s fileService) GetWatcherEvents(_ context.Context, req *connect.Request[filesystem.GetWatcherEventsRequest]) (*connect.Response[filesystem.GetWatcherEventsResponse], error) {
	p, err := s.watchers.find(req.Msg.WatcherId)
	if err != nil {
		return nil, err
	}
	events, err := p.take()
	if err != nil {
		return nil, misfiled(err)
	}
	res := &filesystem.GetWatcherEventsResponse{}
	for _, ev := range events {
		res.Events = append(res.Events, s.seen(ev, p.root, p.shown, p.entries))
	}
	return connect.NewResponse(res), nil
}

// RemoveWatcher ends a watcher.
func (s fileService) RemoveWatcher(_ context.Context, req *connect.Request[filesystem.RemoveWatcherRequest]) (*connect.Response[filesystem.RemoveWatcherResponse], error) {
	if err := s.watchers.drop(req.Msg.WatcherId); err != nil {
		return nil, misfiled(err)
	}
	return connect.NewResponse(&filesystem.RemoveWatcherResponse{}), nil
}
