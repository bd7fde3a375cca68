package network

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// nameIs compares a link's name; without the final zero byte it compares the
// beginning.
func nameIs(key expr.MetaKey, op expr.CmpOp, name []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
}

func from(prefix string) []expr.Any {
	return nameIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, []byte(prefix))
}

func fromLink(name string) []expr.Any {
	return nameIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, append([]byte(name), 0))
}

func to(prefix string) []expr.Any {
	return nameIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, []byte(prefix))
}

func notTo(prefix string) []expr.Any {
	return nameIs(expr.MetaKeyOIFNAME, expr.CmpOpNeq, []byte(prefix))
}

func family(proto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}}}
}

func isIPv6() []expr.Any { return family(unix.NFPROTO_IPV6) }

// Offsets in an IPv4 header.
const (
	sourceOffset      = 12
	destinationOffset = 16
)

func address(offset uint32, p netip.Prefix) []expr.Any {
	base := p.Masked().Addr().As4()
	mask := binary.BigEndian.AppendUint32(nil, uint32(0xffffffff)<<(32-p.Bits()))
	return append(family(unix.NFPROTO_IPV4),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: base[:]})
}

func source(p netip.Prefix) []expr.Any      { return address(sourceOffset, p) }
func destination(p netip.Prefix) []expr.Any { return address(destinationOffset, p) }

func port(proto byte, number uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
	}
}

// protocol matches a transport protocol.
func protocol(number byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}}}
}

// linkName, packetTo, calledAddress and calledPort load what in and chosenBy
// look up. The called end of a connection is the outside's, whichever way a
// packet goes.
func linkName(end expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: end, Register: 1}} }

func packetTo() []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: destinationOffset, Len: 4}}
}

func calledAddress() []expr.Any { return []expr.Any{&expr.Ct{Key: expr.CtKeyDST, Register: 1}} }
func calledPort() []expr.Any    { return []expr.Any{&expr.Ct{Key: expr.CtKeyPROTODST, Register: 1}} }

func in(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}}
}

// chosenBy goes where a map says, and on when it says nothing.
func chosenBy(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, IsDestRegSet: true}}
}

// over matches the packets of a link that are more than so many a second.
func over(meter *nftables.Set, perSecond uint64, burst uint32) []expr.Any {
	limit := &expr.Limit{Type: expr.LimitTypePkts, Rate: perSecond, Unit: expr.LimitTimeSecond, Burst: burst, Over: true}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
		&expr.Dynset{SrcRegKey: 1, SetName: meter.Name, SetID: meter.ID, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE), Exprs: []expr.Any{limit}},
	}
}

// isForeign matches a source that is not of the link it comes from.
func isForeign() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, ResultOIF: true, FlagSADDR: true, FlagIIF: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
	}
}

// isStray matches what belongs to no connection that the kernel knows, new or
// old, and so cannot be judged by what the connection is.
func isStray() []expr.Any {
	bits := binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW | expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
	}
}

// isReply matches what belongs to a connection that was let through.
func isReply() []expr.Any {
	bits := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

func jump(chain *nftables.Chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain.Name}}
}

func goOn(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

// toLoopback changes where a packet goes to a port of the machine's own.
func toLoopback(port uint16) []expr.Any {
	addr := loopback.Addr().As4()
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: addr[:]},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}
