<?php
// A partner for our client, served by `php -S`: validates nothing, answers as the WSDL says. Environment: WSDL.
class Appeals
{
    public function Register($appeal)
    {
        if ($appeal->id === 'gone') {
            throw new SoapFault('Client', 'no such person', null, ['id' => 'gone'], 'NotFound');
        }
        if ($appeal->id === 'down') {
            throw new SoapFault('Server', 'come back later');
        }
        if (($appeal->applicant->office ?? '') !== 'register' || $appeal->scan !== "\x00\x01") {
            throw new SoapFault('Client', 'the fields did not arrive: ' . json_encode($appeal));
        }
        return ['number' => count($appeal->tag), 'state' => 'ok'];
    }

    public function session($session)
    {
    }

    public function Remind($reminder)
    {
    }

    public function Pay($ref, $sum, $account)
    {
        return ['number' => 7, 'account' => $account];
    }
}

$version = str_contains($_SERVER['CONTENT_TYPE'] ?? '', 'soap+xml') ? SOAP_1_2 : SOAP_1_1;
$server = new SoapServer(getenv('WSDL'), ['cache_wsdl' => WSDL_CACHE_NONE, 'soap_version' => $version]);
$server->setClass('Appeals');
$server->handle();
