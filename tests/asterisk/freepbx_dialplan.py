"""FreePBX's dialplan as far as a call of ours meets it: contexts, variables, Macro or Gosub, order of the files.

Told from what core's own generator wrote, 15 and 16 (by Macro) and 17 (by Gosub alone).  In its place stand here:
the inbound routes' destination (ROUTE), a ring group's strategy and members (STRATEGY, MEMBERS: a number with # is one
outside), the number that a trunk forces (TRUNKCID), phones that are busy at once, and for a trunk's Dial what it
would have dialled (DIALLED).
"""

from __future__ import annotations

import re

HOOKS = (
    "macro-dialout-trunk-predial-hook",
    "macro-dialout-one-predial-hook",
    "macro-dial-ringall-predial-hook",
    "macro-dial-hunt-predial-hook",
)
BUSY = "Hangup(17)"
DIDS = ("056528998", "+3256528998", "reception", "*5600", "7")
"""With an inbound route of their own; any other is found by the route for any DID."""


def freepbx(version: str, custom: str, phone: str = BUSY) -> str:
    """extensions_additional.conf, `custom` in place of extensions_custom.conf, and what extensions.conf itself has."""
    text = _ADDITIONAL + "".join(_ROUTE.replace("<did>", did) for did in DIDS) + custom + _STATIC
    text = text.replace("<phone>", phone)
    text += "".join(f"[{name}]\nexten => s,1,<end>\n" for name in HOOKS)
    call, end = (r"Gosub(macro-\1,s,1(\2))", "Return()") if version == "17" else (r"Macro(\1,\2)", "MacroExit()")
    return re.sub(r"<call>\(([a-z-]+),?(.*)\)$", call, text, flags=re.MULTILINE).replace("<end>", end)


FROM_QUEUE = r"""
[from-queue]
exten => _2XX,1,Answer()
 same => n,Wait(0.2)
"""
"""There when queues.conf is loaded, which asks for its members' state then."""

_ROUTE = r"""
exten => <did>,1,Set(__FROM_DID=${EXTEN})
 same => n,Goto(any,1)
"""

_ADDITIONAL = r"""
[from-internal]
include => ext-findmefollow
include => ext-local
include => ext-group
include => app-pickup
include => outbound-allroutes

[outbound-allroutes]
exten => _0X.,1,<call>(user-callerid,LIMIT,EXTERNAL)
 same => n,<call>(dialout-trunk,3,${EXTEN},,on)
 same => n,Set(WENTON=yes)
exten => _08.,1,<call>(user-callerid,LIMIT,EXTERNAL)
 same => n,<call>(dialout-trunk,3,${EXTEN},,on)
 same => n,<call>(dialout-trunk,4,${EXTEN},,on)
 same => n,Set(WENTON=yes)
exten => _9.,1,<call>(user-callerid,LIMIT,EXTERNAL)
 same => n,<call>(dialout-trunk,3,${EXTEN:1},,on)
exten => 112,1,Set(EMERGENCYROUTE=YES)
 same => n,<call>(dialout-trunk,3,${EXTEN},,on)
 same => n,Set(WENTON=yes)

[macro-user-callerid]
exten => s,1,ExecIf($["${REALCALLERIDNUM:1:2}" = ""]?Set(REALCALLERIDNUM=${CALLERID(number)}))
 same => n,<end>

[macro-outbound-callerid]
exten => s,1,ExecIf($["${TRUNKCID}" != ""]?Set(CALLERID(all)=${TRUNKCID}))
 same => n,ExecIf($["${OUTCID_${ARG1}}" != ""]?Set(CALLERID(all)=${OUTCID_${ARG1}}))
 same => n,<end>

[macro-dialout-trunk]
exten => s,1,Set(DIAL_TRUNK=${ARG1})
 same => n,Set(DIAL_NUMBER=${ARG2})
 same => n,<call>(outbound-callerid,${DIAL_TRUNK})
 same => n,Set(OUTNUM=9${DIAL_NUMBER})
 same => n,<call>(dialout-trunk-predial-hook)
 same => n,GotoIf($["${PREDIAL_HOOK_RET}" = "BYPASS"]?bypass)
 same => n,Set(DIALLED=${OUTNUM} by ${DIAL_TRUNK} as ${CALLERID(num)} ${CALLERID(num-pres)})
 same => n(bypass),<end>

[ext-local]
exten => _2XX,1,<call>(exten-vm,novm,${EXTEN})
 same => n,Set(WENTON=yes)

[macro-exten-vm]
exten => s,1,<call>(user-callerid)
 same => n,<call>(dial-one,20,t,${ARG2})
 same => n,<end>

[macro-dial-one]
exten => s,1,Set(DEXTEN=${ARG3})
 same => n,Set(__PICKUPMARK=${ARG3})
 same => n,ExecIf($["${DB(CF/${DEXTEN})}" != ""]?Set(DEXTEN=${DB(CF/${DEXTEN})}#))
 same => n,<call>(dialout-one-predial-hook)
 same => n,Set(DIALLED=${DEXTEN} for ${ARG1} s as ${CALLERID(num-pres)})
 same => n,GotoIf($["${DEXTEN:-1}" = "#"]?forward)
 same => n,Dial(Local/${DEXTEN}@phones/n,${ARG1},${ARG2})
 same => n,<end>
 same => n(forward),Dial(Local/${DEXTEN:0:-1}@from-internal/n,${ARG1},${ARG2})
 same => n,<end>

[app-pickup]
exten => _**2XX,1,<call>(user-callerid)
 same => n,Set(PICKUP_EXTEN=${EXTEN:2})
 same => n,Pickup(${PICKUP_EXTEN}&${PICKUP_EXTEN}@PICKUPMARK)
 same => n,Hangup()

[phones]
exten => _2XX,1,<phone>

[ext-findmefollow]
exten => 250,1,<call>(user-callerid)
 same => n,Set(__EXTTOCALL=${EXTEN})
 same => n,Set(RingGroupMethod=${STRATEGY})
 same => n,<call>(dial,20,t,${MEMBERS})
 same => n,Set(WENTON=yes)

[ext-group]
exten => 600,1,<call>(user-callerid)
 same => n,ExecIf($["${CHANGECID}" = "did"]?Set(__REALCALLERIDNUM=${FROM_DID}))
 same => n,Set(RingGroupMethod=${STRATEGY})
 same => n,<call>(dial,20,t,${MEMBERS})
 same => n,Set(WENTON=yes)

[macro-dial]
exten => s,1,Gosub(dialparties,s,1(${ARG1},${ARG2},${ARG3}))
 same => n,GotoIf($["${HuntMembers}" != "0"]?huntdial)
 same => n,Set(ITER=1)
 same => n(each),Set(__EXTTOCALL=${CUT(FILTERED_DIAL,-,${ITER})})
 same => n,Set(ITER=$[${ITER} + 1])
 same => n,GotoIf($[${ITER} <= ${FIELDQTY(FILTERED_DIAL,-)}]?each)
 same => n,<call>(dial-ringall-predial-hook)
 same => n,Dial(${ds})
 same => n,<end>
 same => n(huntdial),Set(HuntLoop=0)
 same => n(left),GotoIf($[${HuntMembers} >= 1]?one)
 same => n,<end>
 same => n(one),Set(HuntMember=HuntMember${HuntLoop})
 same => n,GotoIf($[${REGEX("^(hunt|memoryhunt|firstavailable|firstnotonphone)$" ${RingGroupMethod})} = 0]?start)
 same => n,Set(__EXTTOCALL=${CUT(FILTERED_DIAL,,$[${HuntLoop} + 1])})
 same => n(start),<call>(dial-hunt-predial-hook)
 same => n,Dial(${${HuntMember}}${ds})
 same => n,Set(HuntLoop=$[${HuntLoop} + 1])
 same => n,Set(HuntMembers=$[${HuntMembers} - 1])
 same => n,Goto(left)

; dialparties.agi: a random order is the list's from behind here.  With ringallv2 the list is rung behind Local legs.
[dialparties]
exten => s,1,Set(FILTERED_DIAL=${STRREPLACE(ARG3,#)})
 same => n,Set(ds=)
 same => n,Set(HuntMembers=0)
 same => n,Set(I=0)
 same => n(next),Set(I=$[${I} + 1])
 same => n,GotoIf($[${I} > ${FIELDQTY(ARG3,-)}]?done)
 same => n,Set(AT=${I})
 same => n,ExecIf($["${RingGroupMethod}" = "random"]?Set(AT=$[${FIELDQTY(ARG3,-)} + 1 - ${I}]))
 same => n,Set(MEMBER=${CUT(ARG3,-,${AT})})
 same => n,Set(ONE=Local/${MEMBER}@phones/n)
 same => n,ExecIf($["${MEMBER:-1}" = "#"]?Set(ONE=Local/${MEMBER:0:-1}@from-internal/n))
 same => n,Set(ds=${ds}${IF($["${ds}" = ""]?:&)}${ONE})
 same => n,Set(HuntMember$[${I} - 1]=${IF($["${RingGroupMethod:0:10}" = "memoryhunt"]?${ds}:${ONE})})
 same => n,Goto(next)
 same => n(done),GotoIf($["${RingGroupMethod:0:7}" != "ringall"]?hunt)
 same => n,ExecIf($["${RingGroupMethod}" = "ringallv2"]?Set(ds=Local/FMGL-${ARG3}@from-internal))
 same => n,Set(ds=${ds},${ARG1},${ARG2})
 same => n,Return()
 same => n(hunt),Set(HuntMembers=$[${I} - 1])
 same => n,Set(ds=,${ARG1},${ARG2})
 same => n,Return()

[customdests]
exten => notify,1,Gosub(callsign-freepbx-notify,s,1())
 same => n,Set(WENTON=yes)
exten => given,1,Gosub(callsign-freepbx-tell,s,1(056528997))
 same => n,Set(WENTON=yes)
exten => record,1,Gosub(callsign-freepbx-record,s,1())
 same => n,Set(WENTON=yes)
 same => n,Set(NEXT=${THEN})
 same => n,Set(THEN=)
 same => n,GotoIf($["${NEXT}" != ""]?${NEXT})

[ext-queues]
exten => 400,1,Answer()
 same => n,Queue(400,tc,,,10)
 same => n,Set(WENTON=yes)

[ext-did-catchall]
exten => _[0-9A-Za-z*#+].,1,Set(__FROM_DID=${EXTEN})
 same => n,Goto(ext-did,s,1)

[ext-did]
include => ext-did-0001
include => ext-did-0002

[ext-did-0001]
exten => 056528990/0470999999,1,Set(__FROM_DID=${EXTEN})

[ext-did-0002]
exten => s,1,ExecIf($["${FROM_DID}" = ""]?Set(__FROM_DID=${EXTEN}))
 same => n,Goto(any,1)
exten => any,1,Set(ARRIVED=${CALLERID(num-pres)})
 same => n,Set(__CALLINGNAMEPRES_SV=${CALLERID(name-pres)})
 same => n,Set(__CALLINGNUMPRES_SV=${CALLERID(num-pres)})
 same => n,Set(CALLERID(name-pres)=allowed_not_screened)
 same => n,Set(CALLERID(num-pres)=allowed_not_screened)
 same => n,GotoIf($["${ROUTE}" != ""]?${ROUTE})
 same => n,Set(WENTON=yes)
"""

_STATIC = r"""
[from-trunk]
include => from-pstn

[from-pstn]
include => ext-did
include => ext-did-catchall

"""
