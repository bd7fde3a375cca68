package console

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// published is a port that is reached from outside.
type published struct {
	Port       uint16           `json:"port"`
	Name       string           `json:"name,omitempty"`
	Visibility state.Visibility `json:"visibility"`
	URL        string           `json:"url"`
}

func (k *Console) ports(c *gin.Context, v visit) error {
	m, ports, err := k.readPorts(c, v)
	if err != nil {
		return err
	}
	all := []published{}
	for _, p := range ports {
		all = append(all, published{p.Port, p.Name, p.Visibility, k.links.Port(c.Request, m, p.Port)})
	}
	k.Done(c, http.StatusOK, gin.H{"ports": all})
	return nil
}

func (k *Console) readPorts(c *gin.Context, v visit) (m state.Computer, all []state.Port, err error) {
	err = k.LookAll(c, func(view *state.View) (err error) {
		if m, err = view.Computer(v.Account, v.Computer); err == nil {
			all, err = view.Ports(m.ID)
		}
		return err
	})
	return m, all, err
}

// openPort leads to a published port. A private one is shown the session that
// opened the page, as its own first request would.
func (k *Console) openPort(c *gin.Context, v visit) error {
	number, err := number(c.Param("port"), "port", 1<<16-1)
	if err != nil {
		return err
	}
	m, ports, err := k.readPorts(c, v)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if uint64(p.Port) != number {
			continue
		}
		to := k.links.Port(c.Request, m, p.Port)
		if p.Visibility == state.PrivatePort {
			to += "?" + tokenParameter + "=" + url.QueryEscape(k.tokenOf(c, v))
		}
		c.Redirect(http.StatusSeeOther, to)
		return nil
	}
	return fault.New(fault.NotFound, "Port %d is not published", number)
}

// tokenOf is the token that let a visit in.
func (k *Console) tokenOf(c *gin.Context, v visit) string {
	for _, cookie := range c.Request.CookiesNamed(cookieName(v.Computer, v.Kind)) {
		if s, err := k.enter(c, cookie.Value, v.Computer, v.Kind); err == nil && s.ID == v.ID {
			return cookie.Value
		}
	}
	return ""
}
