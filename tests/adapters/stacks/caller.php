<?php
// Calls our server: caller.php WSDL-URL VERSION(1|2) appeals|payments; prints what it got as JSON.
$client = new SoapClient($argv[1], ['cache_wsdl' => WSDL_CACHE_NONE, 'exceptions' => true, 'soap_version' => (int)$argv[2]]);
if ($argv[3] === 'payments') {
    $told = $client->Pay('r-1', '10.50', ['iban' => 'UA1']);
    echo json_encode(['number' => $told['number'], 'iban' => $told['account']->iban]);
    exit;
}
$official = new SoapVar(['name' => ['_' => 'Олена', 'lang' => 'uk'], 'office' => 'register'], SOAP_ENC_OBJECT,
    'Official', 'urn:example:common');
$appeal = ['urgent' => true, 'applicant' => $official, 'phone' => '+380671234567', 'due' => null, 'tag' => ['a', 'b'],
    'scan' => "\x00\x01"];
$client->__setSoapHeaders([new SoapHeader('urn:example:appeals:types', 'session', 's-1', true)]);
$told = $client->Register($appeal + ['id' => '1']);
$client->__setSoapHeaders([]);
$client->Remind(['id' => '1']);
try {
    $client->Register($appeal + ['id' => '2']);
} catch (SoapFault $fault) {
    echo json_encode(['number' => $told->number, 'state' => $told->state, 'fault' => $fault->getMessage(),
        'id' => $fault->detail->NotFound->id]);
}
