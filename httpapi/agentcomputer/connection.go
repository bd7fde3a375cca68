package agentcomputer

import (
	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) connectionRoutes() []door.Route {
	return []door.Route{{Method: "GET", Path: "/computers/:id/connection", Scopes: reading, Serve: a.Handle(a.getConnection)}}
}

// connection is how a computer can be reached. What is available says what the
// computer has, not whether it runs just now.
type connection struct {
	Handle           string  `json:"handle"`
	WebURL           string  `json:"web_url"`
	VNCURL           string  `json:"vnc_url"`
	BrowserAvailable bool    `json:"browser_available"`
	VNCAvailable     bool    `json:"vnc_available"`
	SSHAvailable     bool    `json:"ssh_available"`
	SSHHost          *string `json:"ssh_host"`
	SSHPort          *int    `json:"ssh_port"`
	SSHUser          *string `json:"ssh_user"`
}

// getConnection serves GET /computers/:id/connection.
func (a *API) getConnection(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	var published []state.Port
	err = a.LookAll(c, func(v *state.View) (err error) {
		published, err = v.Ports(m.ID)
		return err
	})
	if err != nil {
		return err
	}
	desktop, err := a.hasDesktop(c, m)
	if err != nil {
		return err
	}
	reply := struct {
		Connection connection `json:"connection"`
		Ports      []port     `json:"ports"`
	}{Connection: connection{Handle: orElse(m.Handle, string(m.ID)), WebURL: a.links.Computer(c, m), VNCURL: a.links.Desktop(c, m),
		BrowserAvailable: true, VNCAvailable: desktop}, Ports: []port{}}
	if host, number := a.links.SSH(c.Request); number != 0 {
		reply.Connection.SSHAvailable, reply.Connection.SSHHost, reply.Connection.SSHPort = true, &host, &number
		reply.Connection.SSHUser = maybe(actors.SSHUser(m))
	}
	for _, p := range published {
		reply.Ports = append(reply.Ports, a.portOf(c, m, p, portReady))
	}
	ok(c, reply)
	return nil
}

// hasDesktop reports whether a computer's image has a display, as far as this
// node knows the image.
func (a *API) hasDesktop(c *gin.Context, m state.Computer) (bool, error) {
	found, _, err := a.Images.Find(c.Request.Context(), m.Image)
	return found.Desktop, err
}
