"""Schemas of namespaces that WSDLs use without bringing them along: the envelopes, xml:lang, xmime, swaRef."""

from __future__ import annotations

from adapters.soap.names import SOAP11, SOAP12, SWA_REF, XMIME, XML, XS, Version

_XML_ATTRIBUTES = f"""\
<xs:schema xmlns:xs="{XS}" targetNamespace="{XML}">
  <xs:attribute name="lang" type="xs:string"/>
  <xs:attribute name="space" type="xs:NCName"/>
  <xs:attribute name="base" type="xs:anyURI"/>
  <xs:attribute name="id" type="xs:ID"/>
</xs:schema>"""

_XMIME = f"""\
<xs:schema xmlns:xs="{XS}" xmlns:xmime="{XMIME}" targetNamespace="{XMIME}">
  <xs:attribute name="contentType" type="xs:string"/>
  <xs:attribute name="expectedContentTypes" type="xs:string"/>
  <xs:complexType name="base64Binary">
    <xs:simpleContent>
      <xs:extension base="xs:base64Binary"><xs:attribute ref="xmime:contentType"/></xs:extension>
    </xs:simpleContent>
  </xs:complexType>
  <xs:complexType name="hexBinary">
    <xs:simpleContent>
      <xs:extension base="xs:hexBinary"><xs:attribute ref="xmime:contentType"/></xs:extension>
    </xs:simpleContent>
  </xs:complexType>
</xs:schema>"""

_SWA_REF = f"""\
<xs:schema xmlns:xs="{XS}" targetNamespace="{SWA_REF}">
  <xs:simpleType name="swaRef"><xs:restriction base="xs:anyURI"/></xs:simpleType>
</xs:schema>"""


def _envelope(version: Version, fault: str) -> str:
    """The envelope, strict about what stands in its Body: an element that the WSDL declares, or a Fault."""
    return f"""\
<xs:schema xmlns:xs="{XS}" xmlns:e="{version.envelope}" targetNamespace="{version.envelope}"
           elementFormDefault="qualified">
  <xs:import namespace="{XML}"/>
  <xs:element name="Envelope">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="Header" minOccurs="0">
          <xs:complexType>
            <xs:sequence>
              <xs:any namespace="##any" processContents="lax" minOccurs="0" maxOccurs="unbounded"/>
            </xs:sequence>
            <xs:anyAttribute namespace="##any" processContents="skip"/>
          </xs:complexType>
        </xs:element>
        <xs:element name="Body">
          <xs:complexType>
            <xs:sequence>
              <xs:any namespace="##any" processContents="strict" minOccurs="0" maxOccurs="unbounded"/>
            </xs:sequence>
            <xs:anyAttribute namespace="##any" processContents="skip"/>
          </xs:complexType>
        </xs:element>
      </xs:sequence>
      <xs:anyAttribute namespace="##any" processContents="skip"/>
    </xs:complexType>
  </xs:element>
  <xs:complexType name="anything">
    <xs:sequence><xs:any namespace="##any" processContents="lax" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
    <xs:anyAttribute namespace="##any" processContents="skip"/>
  </xs:complexType>
  {fault}
</xs:schema>"""


_FAULT_11 = """\
<xs:element name="Fault">
    <xs:complexType>
      <xs:all>
        <xs:element name="faultcode" type="xs:string" form="unqualified"/>
        <xs:element name="faultstring" type="xs:anyType" form="unqualified"/>
        <xs:element name="faultactor" type="xs:string" form="unqualified" minOccurs="0"/>
        <xs:element name="detail" type="e:anything" form="unqualified" minOccurs="0"/>
      </xs:all>
      <xs:anyAttribute namespace="##any" processContents="skip"/>
    </xs:complexType>
  </xs:element>"""
_FAULT_12 = """\
<xs:complexType name="code">
    <xs:sequence>
      <xs:element name="Value" type="xs:QName"/>
      <xs:element name="Subcode" type="e:code" minOccurs="0"/>
    </xs:sequence>
  </xs:complexType>
  <xs:element name="Fault">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="Code" type="e:code"/>
        <xs:element name="Reason">
          <xs:complexType>
            <xs:sequence>
              <xs:element name="Text" maxOccurs="unbounded" type="xs:anyType"/>
            </xs:sequence>
          </xs:complexType>
        </xs:element>
        <xs:element name="Node" type="xs:anyURI" minOccurs="0"/>
        <xs:element name="Role" type="xs:anyURI" minOccurs="0"/>
        <xs:element name="Detail" type="e:anything" minOccurs="0"/>
      </xs:sequence>
    </xs:complexType>
  </xs:element>"""

KNOWN_SCHEMAS = {
    XML: _XML_ATTRIBUTES,
    XMIME: _XMIME,
    SWA_REF: _SWA_REF,
    SOAP11.envelope: _envelope(SOAP11, _FAULT_11),
    SOAP12.envelope: _envelope(SOAP12, _FAULT_12),
}
